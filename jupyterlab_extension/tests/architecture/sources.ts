/// <reference types="vite/client" />

/** The project's files as text, by path from this directory: `../../src/core/dom.ts`. */
type Files = Record<string, string>;

// Vite replaces these calls while it compiles: every argument has to be written out.
export const src: Files = import.meta.glob("../../src/**/*.ts", { query: "?raw", import: "default", eager: true });
export const dev: Files = import.meta.glob("../../dev/*.ts", { query: "?raw", import: "default", eager: true });
export const scripts: Files = import.meta.glob("../../scripts/*.mjs", { query: "?raw", import: "default", eager: true });
export const tests: Files = import.meta.glob("../**/*.ts", { query: "?raw", import: "default", eager: true });
export const styles: Files = import.meta.glob("../../style/*.css", { query: "?raw", import: "default", eager: true });

// @vitest-environment node
import { expect, it } from "vitest";
import { src, styles } from "./sources";

const code = Object.values(src).join("\n");
/** Attributes that JupyterLab and Jupyter Notebook set on the page. */
const FROM_THE_PAGE = /^data-jp-/;

const css = Object.values(styles)
  .join("\n")
  .replace(/\/\*[^]*?\*\//g, "");
const names = (pattern: RegExp): string[] => [...new Set([...css.matchAll(pattern)].map((found) => found[1]!))];
/** `icechunk-mark-${change}` in the code stands for every class that begins so. */
const open = [...code.matchAll(/(icechunk-[\w-]*)\$\{/g)].map((found) => found[1]!);

it("names only classes that the code sets", () => {
  const classes = names(/\.(icechunk-[\w-]+)/g);
  expect(classes.length).toBeGreaterThan(150);
  const used = (name: string): boolean =>
    new RegExp(`${name}(?![\\w-])`).test(code) || open.some((prefix) => name.startsWith(prefix));
  expect(classes.filter((name) => !used(name))).toEqual([]);
});

it("names only attributes that the code sets", () => {
  const attributes = names(/\[(data-[\w-]+)/g).filter((name) => !FROM_THE_PAGE.test(name));
  expect(attributes).toContain("data-icechunk-theme");
  const property = (name: string): string => name.slice(5).replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
  const used = (name: string): boolean => code.includes(`"${name}"`) || code.includes(`dataset.${property(name)} =`);
  expect(attributes.filter((name) => !used(name))).toEqual([]);
});

it("reads only custom properties that something sets", () => {
  const read = names(/var\((--icechunk-[\w-]+)\s*\)/g);
  const set = (name: string): boolean => css.includes(`${name}:`) || code.includes(`"${name}"`);
  expect(read.length).toBeGreaterThan(10);
  expect(read.filter((name) => !set(name))).toEqual([]);
});

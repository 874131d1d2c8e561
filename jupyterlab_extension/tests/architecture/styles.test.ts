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

it("styles no class of another view without naming its own", () => {
  // All sheets may be on one page: notebooks show several widgets, and JupyterLab its side panel.
  const views = { history: "history", diff: "diff", resolver: "resolver", repositories: "panel" };
  const selectors = Object.entries(views).map(([sheet, root]) => {
    const text = styles[`../../style/${sheet}.css`]!.replace(/\/\*[^]*?\*\//g, "");
    const all = [...text.matchAll(/([^{}]+)\{/g)].flatMap((rule) => rule[1]!.split(","));
    const classes = all.map((one) => [...one.matchAll(/\.(icechunk-[\w-]+)/g)].map((found) => found[1]!));
    const free = classes.filter((list) => list.length > 0 && !list.includes(`icechunk-${root}`));
    return { sheet, free, named: new Set(free.flat().filter((name) => name !== "icechunk-root")) };
  });
  const shared = selectors.flatMap(({ sheet, free }) =>
    free.flatMap((list) => {
      const own = list.filter((name) => name !== "icechunk-root");
      const other = selectors.find((one) => one.sheet !== sheet && own.every((name) => one.named.has(name)));
      return other ? [`${sheet}.css: .${own.join(" .")} is also in ${other.sheet}.css`] : [];
    }),
  );
  expect(shared).toEqual([]);
});

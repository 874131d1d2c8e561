// @vitest-environment node
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { dev, scripts, src, styles, tests } from "./sources";

/** Directories and single modules of `src`, lowest first: one imports lower floors or itself. */
const FLOORS = [
  ["core"],
  ["views/common"],
  ["views/grid"],
  ["views/diff", "views/resolver", "views/repositories"],
  ["views/history"],
  ["widgets", "lab"],
];
/** The only directory that may import npm packages: JupyterLab provides them at run time. */
const WITH_PACKAGES = "lab";
const MAX_FILE_LINES = 500;
const MAX_FUNCTION_LINES = 60;

const checked = { ...src, ...dev, ...scripts, ...styles, ...tests };

interface Import {
  file: string;
  line: number;
  /** What follows `from`; relative paths are resolved to a file. */
  target: string;
}

const short = (path: string): string => path.replace("../../", "");
const trees = new Map(
  Object.entries({ ...src, ...dev, ...scripts }).map(([path, text]) => [
    path,
    ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true),
  ]),
);

function lineOf(node: ts.Node, position = node.getStart()): number {
  return node.getSourceFile().getLineAndCharacterOfPosition(position).line + 1;
}

/** Every node of a file, including those inside functions. */
function nodes(tree: ts.SourceFile): ts.Node[] {
  const found: ts.Node[] = [];
  const visit = (node: ts.Node): void => {
    found.push(node);
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

/** The text after `from`, in `import("…")` and in the type `import("…").Name`. */
function specifier(node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier;
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) return node.arguments[0];
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) return node.argument.literal;
  return undefined;
}

function imports(file: string): Import[] {
  return nodes(trees.get(file)!).flatMap((node) => {
    const found = specifier(node);
    if (!found || !ts.isStringLiteral(found)) return [];
    const { text } = found;
    const target = text.startsWith(".") ? resolve(file, text) : text;
    return [{ file, line: lineOf(node), target }];
  });
}

/** Paths of this project all begin with `../../`, as the glob gives them. */
function resolve(file: string, specifier: string): string {
  const parts = short(file).split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return `../../${parts.join("/")}.ts`;
}

/** "core", "views/grid", "views/repositories" … */
function roomOf(file: string): string {
  const parts = short(file).replace(/\.ts$/, "").split("/").slice(1);
  return parts[0] === "views" ? parts.slice(0, 2).join("/") : parts[0]!;
}

const floorOf = (room: string): number => FLOORS.findIndex((rooms) => rooms.includes(room));
const all = Object.keys(src).flatMap(imports);

describe("architecture", () => {
  it("finds the sources and their imports", () => {
    expect(Object.keys(src).length).toBeGreaterThan(40);
    expect(all.length).toBeGreaterThan(100);
    const missing = all.filter(({ target }) => target.startsWith(".") && !(target in src));
    expect(missing).toEqual([]);
  });

  it("puts every module on a floor", () => {
    const homeless = Object.keys(src).filter((file) => floorOf(roomOf(file)) < 0);
    expect(homeless.map((file) => `${short(file)}: add its directory to FLOORS`)).toEqual([]);
  });

  it("imports lower floors or the own directory", () => {
    const problems = all
      .filter(({ target }) => target.startsWith("."))
      .filter(({ file, target }) => {
        const [from, to] = [roomOf(file), roomOf(target)];
        return from !== to && floorOf(to) >= floorOf(from);
      });
    expect(problems.map(({ file, line, target }) => `${short(file)}:${line} may not import ${short(target)}`)).toEqual([]);
  });

  it("has no import cycles", () => {
    const graph = new Map(Object.keys(src).map((file) => [file, new Set<string>()]));
    for (const { file, target } of all) if (target !== file) graph.get(target)?.add(file);
    // Remove files that nothing depends on until none is left; a cycle stays.
    const waiting = new Map([...graph].map(([file, users]) => [file, users.size]));
    const free = [...waiting].filter(([, users]) => users === 0).map(([file]) => file);
    for (let file = free.pop(); file !== undefined; file = free.pop()) {
      waiting.delete(file);
      const targets = new Set(imports(file).map(({ target }) => target));
      for (const target of targets) {
        const left = (waiting.get(target) ?? 0) - 1;
        if (!waiting.has(target)) continue;
        waiting.set(target, left);
        if (left === 0) free.push(target);
      }
    }
    expect([...waiting.keys()].map(short)).toEqual([]);
  });

  it("imports npm packages in one directory only", () => {
    const problems = all.filter(({ file, target }) => !target.startsWith(".") && roomOf(file) !== WITH_PACKAGES);
    expect(problems.map(({ file, line, target }) => `${short(file)}:${line} imports ${target}`)).toEqual([]);
  });

  it(`keeps files within ${MAX_FILE_LINES} lines`, () => {
    const long = Object.entries(checked).flatMap(([path, text]) => {
      const lines = text.trimEnd().split("\n").length;
      return lines > MAX_FILE_LINES ? [`${short(path)} has ${lines} lines`] : [];
    });
    expect(long).toEqual([]);
  });

  it(`keeps functions within ${MAX_FUNCTION_LINES} lines`, () => {
    const long = [...trees.values()].flatMap(nodes).flatMap((node) => {
      if (!ts.isFunctionLike(node) || !("body" in node) || !node.body) return [];
      const lines = lineOf(node, node.end) - lineOf(node) + 1;
      const place = `${short(node.getSourceFile().fileName)}:${lineOf(node)}`;
      return lines > MAX_FUNCTION_LINES ? [`${place} ${node.name?.getText() ?? "a function"} has ${lines} lines`] : [];
    });
    expect(long).toEqual([]);
  });
});

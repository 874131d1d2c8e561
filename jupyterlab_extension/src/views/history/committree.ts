/** The groups and arrays of a commit and the Python that opens them; requested when unfolded. */

import { button, fill, h, listen } from "../../core/dom";
import { asHostError, type Host, isSilent } from "../../core/host";
import type { TreeReply } from "../../core/protocol";
import { grouped } from "../../core/text";

export function commitTree(host: Host, id: string, signal: AbortSignal): HTMLElement {
  const place = h("div", { class: "icechunk-treebody" }, h("p", { class: "icechunk-hint icechunk-loading" }, "Loading…"));
  const box = h(
    "details",
    { class: "icechunk-tree", testid: "icechunk-tree" },
    h("summary", null, "Contents, and Python to open it"),
    place,
  );
  let asked = false;
  listen(
    box,
    "toggle",
    () => {
      if (!box.open || asked) return;
      asked = true;
      host.request<TreeReply>("tree", { id }, { signal }).then(
        ({ result }) => fill(place, openers(result), nodes(result)),
        (error) => {
          if (isSilent(error)) return;
          asked = false;
          const { message, hint } = asHostError(error);
          fill(place, h("p", { class: "icechunk-hint" }, `${message} ${hint}`));
        },
      );
    },
    signal,
  );
  return box;
}

function openers(reply: TreeReply): HTMLElement {
  const datasets = reply.python.filter((one) => one.group);
  const shown = datasets.length ? datasets : reply.python;
  return h(
    "div",
    { class: "icechunk-openers" },
    ...shown.slice(0, 8).map((one) => {
      const name = one.group ? `Open ${one.group === "/" ? "" : `${one.group} `}with xarray` : "Open with Zarr";
      return h(
        "figure",
        { class: "icechunk-opener" },
        h("figcaption", null, name, button("Copy", { class: "icechunk-button icechunk-quiet icechunk-small", "data-copy": "", "aria-label": `Copy: ${name}` })),
        h("pre", { testid: "icechunk-open-python" }, one.lines.join("\n")),
      );
    }),
  );
}

function nodes(reply: TreeReply): HTMLElement {
  return h(
    "ul",
    { class: "icechunk-nodes" },
    ...reply.nodes.map((node) => {
      const sides = (node.shape ?? []).map((size, i) => (node.dims?.[i] ? `${node.dims[i]} ${grouped(size)}` : grouped(size)));
      return h(
        "li",
        { class: "icechunk-node" },
        h("code", { class: "icechunk-path" }, node.path),
        h("span", { class: "icechunk-nodedetail" }, node.type === "array" ? `${sides.join(" × ")} ${node.dtype ?? ""}` : "group"),
      );
    }),
    reply.count > reply.nodes.length
      ? h("li", { class: "icechunk-muted" }, `and ${grouped(reply.count - reply.nodes.length)} more`)
      : null,
  );
}

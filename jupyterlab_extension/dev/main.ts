/** Development page: every view on example data, `?view=resolver&theme=dark`. */

import { mount as mountDiff } from "../src/views/diff/diff";
import { mount as mountHistory } from "../src/views/history/history";
import { mount as mountResolver } from "../src/views/resolver/resolver";
import { mount as mountRepositories } from "../src/views/repositories";
import { FakeHost } from "./fake-host";
import { longHistory } from "./long";
import { repositories } from "./repositories";
import { WIDE, wideStates } from "./wide";

const params = new URLSearchParams(location.search);
const view = params.get("view") ?? "all";
document.body.dataset.jpThemeLight = String(params.get("theme") !== "dark");
document.body.className = params.get("theme") === "dark" ? "dark" : "light";
const page = document.getElementById("page")!;
if (params.get("width")) page.style.width = `${params.get("width")}px`;

function place(): HTMLElement {
  const box = document.createElement("div");
  box.className = "box";
  page.append(box);
  return box;
}

const hosts: Record<string, FakeHost> = {};
if (view === "history" || view === "all") {
  hosts.history = new FakeHost({ title: "ocean-sst", selected: [] });
  mountHistory(place(), hosts.history);
}
if (view === "huge") {
  const many = Number(params.get("commits") ?? 100_000);
  mountHistory(place(), new FakeHost({ title: "A long history", selected: [] }, { history: () => longHistory(many) }));
}
if (view === "diff" || view === "all") {
  hosts.diff = new FakeHost({ title: "Differences", selected_path: "" }, {}, "diff");
  mountDiff(place(), hosts.diff);
}
if (view === "resolver" || view === "all") {
  hosts.resolver = new FakeHost({ title: "Resolve conflicts", status: "pending" }, {}, "resolver");
  mountResolver(place(), hosts.resolver);
}
if (view === "sidebar" || view === "all") {
  const box = place();
  box.style.width = "300px";
  mountRepositories(box, { onRefresh: () => undefined }).show({ state: "ready", reply: repositories() });
}
if (view === "wide") {
  const host = new FakeHost({ title: "A large array" }, { chunk_map: () => WIDE }, "resolver");
  host.states = wideStates();
  const request = host.request.bind(host);
  host.request = async (method, params) => {
    const reply = await request<never>(method, params);
    if (method === "chunk_map") reply.buffers.push(new DataView(host.states.slice().buffer));
    return reply;
  };
  mountResolver(place(), host);
}
Object.assign(window, { hosts });

/** JupyterLab plugin: the Icechunk side panel and the command that opens it. */

import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin,
} from "@jupyterlab/application";
import { ICommandPalette } from "@jupyterlab/apputils";
import { icechunkIcon } from "./icon";
import { IcechunkPanel } from "./panel";

const OPEN = "icechunk:open";

const plugin: JupyterFrontEndPlugin<void> = {
  id: "@icechunk/jupyterlab:plugin",
  description: "A side panel with the Icechunk repositories of the running kernel.",
  autoStart: true,
  optional: [ICommandPalette, ILayoutRestorer],
  activate(
    app: JupyterFrontEnd,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null,
  ): void {
    const panel = new IcechunkPanel();
    panel.id = "icechunk-panel";
    panel.title.icon = icechunkIcon;
    panel.title.caption = "Icechunk repositories";
    app.shell.add(panel, "left", { rank: 620, type: "Icechunk" });
    restorer?.add(panel, "icechunk-panel");

    const follow = (): void => panel.follow(app.shell.currentWidget);
    app.shell.currentChanged?.connect(follow);
    void app.restored.then(follow);

    app.commands.addCommand(OPEN, {
      label: "Open the Icechunk Panel",
      caption: "Show the repositories of the running kernel",
      icon: icechunkIcon,
      describedBy: { args: { type: "object", properties: {} } },
      execute: () => {
        follow();
        app.shell.activateById(panel.id);
      },
    });
    palette?.addItem({ command: OPEN, category: "Icechunk" });
  },
};

export default plugin;

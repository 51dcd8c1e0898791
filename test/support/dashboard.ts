import { readFileSync } from "node:fs";

export const DASHBOARD = "deploy/grafana/dashboards/packetwatch.json";

type Target = { readonly refId: string; readonly expr: string };

export type Panel = {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
  readonly targets?: readonly Target[];
};

export type Dashboard = {
  readonly uid: string;
  readonly title: string;
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly query: unknown }[];
  };
  readonly panels: readonly Panel[];
};

export function readDashboard(): Dashboard {
  return JSON.parse(readFileSync(DASHBOARD, "utf8")) as Dashboard;
}

/** Every expression, by its panel, with Grafana's variables as it fills them in. */
export function dashboardExpressions(): readonly { panel: string; expression: string }[] {
  return readDashboard().panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({ panel: title, expression: fillIn(expr) })),
  );
}

function fillIn(expression: string): string {
  const filled = expression
    .replaceAll("$__rate_interval", "1m")
    .replaceAll("$__range", "1h")
    .replaceAll("$host", ".*");
  if (filled.includes("$")) throw new Error(`an unknown variable in ${expression}`);
  return filled;
}

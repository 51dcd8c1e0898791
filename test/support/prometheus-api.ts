const REQUEST_TIMEOUT_MS = 10_000;

export type QueryResult = {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [timeS: number, value: string];
};

export type AlertingRule = {
  readonly name: string;
  readonly query: string;
  readonly health: string;
  readonly state: "inactive" | "pending" | "firing";
};

/** What a Prometheus says over HTTP. */
export class PrometheusApi {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async isReady(): Promise<boolean> {
    return (await fetch(`${this.#url}/-/ready`)).ok;
  }

  /** An instant query; throws where the expression can't be parsed or evaluated. */
  async query(expression: string): Promise<readonly QueryResult[]> {
    const query = new URLSearchParams({ query: expression });
    const { result } = await this.#get<{ result: QueryResult[] }>(
      `/api/v1/query?${query.toString()}`,
    );
    return result;
  }

  async alertingRules(): Promise<readonly AlertingRule[]> {
    type Groups = { groups: { rules: AlertingRule[] }[] };
    const { groups } = await this.#get<Groups>("/api/v1/rules?type=alert");
    return groups.flatMap(({ rules }) => rules);
  }

  /** Why the last scrapes failed; empty strings where they didn't. */
  async scrapeErrors(): Promise<readonly string[]> {
    type Targets = { activeTargets: { lastError: string }[] };
    const { activeTargets } = await this.#get<Targets>("/api/v1/targets?state=active");
    return activeTargets.map(({ lastError }) => lastError);
  }

  async #get<T>(path: string): Promise<T> {
    const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
    const response = await fetch(this.#url + path, { signal });
    const answer = (await response.json()) as { status: string; error?: string; data: T };
    if (answer.status !== "success")
      throw new Error(`${decodeURIComponent(path)}: ${answer.error}`);
    return answer.data;
  }
}

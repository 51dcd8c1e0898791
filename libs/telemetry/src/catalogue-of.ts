import { catalogue } from "./catalogue.ts";
import type { MetricCatalogue, MetricDefinition, MetricService } from "./metric-definition.ts";

/** The metrics that a service publishes. */
export function catalogueOf(service: MetricService): MetricCatalogue {
  const all = Object.entries<MetricDefinition>(catalogue);
  return Object.fromEntries(all.filter(([, { services }]) => services.includes(service)));
}

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Variable, variables } from "./variables.ts";
import { renderVariablesPage } from "./variables-page.ts";

const published = new URL("../../../docs/variables.md", import.meta.url);

describe("docs/variables.md", () => {
  it("is what the table renders; `make docs` writes it", () => {
    expect(readFileSync(published, "utf8")).toBe(renderVariablesPage());
  });

  it.each(Object.values<Variable>(variables))(
    "has $name once, with all that is known of it",
    (each) => {
      const sections = renderVariablesPage().split(/^#+ /m);
      const own = sections.filter((section) => section.startsWith(`${each.name}\n`));
      expect(own).toHaveLength(1);
      const text = own[0]?.replaceAll(/\s+/g, " ");
      expect(text).toContain(each.description);
      expect(text).toContain(`May hold: ${each.field.expected}`);
      expect(text).toContain(`Read by: ${each.readBy.join(", ")}`);
    },
  );

  it("has no line over 100 columns", () => {
    const long = renderVariablesPage()
      .split("\n")
      .filter((line) => line.length > 100);
    expect(long).toEqual([]);
  });
});

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { renderCommandsPage } from "./commands-page.ts";
import { createProgram } from "./program.ts";

const published = readFileSync(new URL("../../docs/commands.md", import.meta.url), "utf8");

describe("docs/commands.md", () => {
  it("is what the commands' help says; `make docs` writes it", () => {
    expect(published).toBe(renderCommandsPage());
  });

  it.each(createProgram().commands.map((command) => command.name()))(
    "has %s once, with its usage and an example",
    (name) => {
      const sections = published.split(/^## /m);
      const own = sections.filter((section) => section.startsWith(`packetwatch ${name}\n`));
      expect(own).toHaveLength(1);
      expect(own[0]).toContain(`Usage: packetwatch ${name}`);
      expect(own[0]).toMatch(new RegExp(`Examples:\n(.*\n)*? +.*packetwatch ${name}`));
    },
  );
});

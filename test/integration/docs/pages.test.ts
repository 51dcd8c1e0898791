import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const repository = fileURLToPath(new URL("../../../", import.meta.url));
const pages = [
  "README.md",
  "examples/README.md",
  ...readdirSync(join(repository, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];
const readPage = (page: string) => readFileSync(join(repository, page), "utf8");

/** Without the blocks of code, which have links and paths of their own. */
const prose = (page: string) => readPage(page).replaceAll(/^```[^]*?^```$/gm, "");

/** Where the tests leave something: these are there only after a run. */
const MADE_BY_RUNS = /^(bench\/results|build|test-results|\.run|\.tools)\//;

describe.each(pages)("%s", (page) => {
  it("links to files that are there", () => {
    const links = [...prose(page).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(
      ([, target = ""]) => target,
    );
    const relative = links.filter((target) => !/^[a-z]+:/.test(target));
    const missing = relative.filter(
      (target) => !existsSync(join(repository, dirname(page), target)),
    );
    expect(missing).toEqual([]);
  });

  it("names files and folders of this repository that are there", () => {
    const named = [...prose(page).matchAll(/`((?:[\w.-]+\/)+[\w.-]*)`/g)].map(
      ([, path = ""]) => path,
    );
    const ours = named.filter((path) => topLevel.has(path.split("/")[0] ?? ""));
    const missing = ours.filter(
      (path) => !MADE_BY_RUNS.test(path) && !existsSync(join(repository, path)),
    );
    expect(missing).toEqual([]);
  });
});

const topLevel = new Set(readdirSync(repository));

const questions = [
  "How is it proven correct?",
  "How could it be better?",
  "Can it miss a connection, and when exactly?",
  "How else could every new connection be logged, and why XDP?",
  "Why make?",
  "What would be tested next?",
  "How is it deployed to hundreds of servers?",
  "Which shortcuts remain, and what would replace them?",
];

/** The answers of docs/questions.md by their question. */
const answers = new Map(
  readPage("docs/questions.md")
    .split(/^## /m)
    .slice(1)
    .map((section): [string, string] => {
      const end = section.indexOf("\n");
      return [section.slice(0, end), section.slice(end).trim()];
    }),
);

/** A sentence ends at a mark before a blank or the end; what is in backticks and after "e.g" ends none. */
function countSentences(text: string): number {
  const bare = text.replaceAll(/`[^`]*`/g, "x").replaceAll(/\s+/g, " ");
  return bare.match(/[.!?](?= |$)/g)?.length ?? 0;
}

describe("docs/questions.md", () => {
  it("has each question once, in order", () => {
    expect([...answers.keys()]).toEqual(questions);
  });

  it.each(questions)("answers in 4 to 8 sentences, and names evidence: %s", (question) => {
    const answer = answers.get(question) ?? "";
    const sentences = countSentences(answer);
    expect(sentences, answer).toBeGreaterThanOrEqual(4);
    expect(sentences, answer).toBeLessThanOrEqual(8);
    expect(answer).toMatch(/`(\w+\/)+[\w.-]+`/);
  });
});

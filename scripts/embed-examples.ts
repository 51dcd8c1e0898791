const FENCE = "```";
const MARK = /<!-- (examples\/\S+) -->\n(?:\n```\w*\n[^]*?\n```\n)?/g;

/**
 * A page with the files that its marks name, `<!-- examples/a.mjs -->`, each in a code block behind its mark. What was
 * there before is replaced, so that embedding twice changes nothing.
 */
export function embedExamples(page: string, read: (path: string) => string): string {
  return page.replaceAll(MARK, (_, path: string) => {
    return `<!-- ${path} -->\n\n${FENCE}js\n${read(path).trimEnd()}\n${FENCE}\n`;
  });
}

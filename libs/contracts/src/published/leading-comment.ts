/** The text of the block comment that a source file begins with, without its stars; empty where it has none. */
export function leadingComment(source: string): string {
  const [, comment = ""] = /^\/\*\*\n([^]*?)\n \*\//.exec(source) ?? [];
  return comment.replaceAll(/^ \* ?/gm, "").trim();
}

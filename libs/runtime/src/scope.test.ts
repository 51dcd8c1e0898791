import { describe, expect, test } from "vitest";
import { Scope } from "./scope.ts";

function recorded(closed: string[], name: string, fail?: Error) {
  return {
    name,
    close: async () => {
      await Promise.resolve();
      closed.push(name);
      if (fail) throw fail;
    },
  };
}

describe("a scope", () => {
  test("hands back what it owns", () => {
    const resource = recorded([], "one");
    expect(new Scope().own(resource)).toBe(resource);
  });

  test("closes in reverse order, one after the other", async () => {
    const closed: string[] = [];
    const scope = new Scope();
    for (const name of ["first", "second", "third"]) scope.own(recorded(closed, name));
    await scope.close();
    expect(closed).toEqual(["third", "second", "first"]);
  });

  test("closes everything although some fail, and then throws all that failed", async () => {
    const closed: string[] = [];
    const failures = [new Error("one"), new Error("two")];
    const scope = new Scope();
    scope.own(recorded(closed, "first", failures[1]));
    scope.own(recorded(closed, "second"));
    scope.own(recorded(closed, "third", failures[0]));
    const error = await scope.close().catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(AggregateError);
    expect((error as AggregateError).errors).toEqual(failures);
    expect(closed).toEqual(["third", "second", "first"]);
  });

  test("closes once, however often it is asked", async () => {
    const closed: string[] = [];
    const scope = new Scope();
    scope.own(recorded(closed, "only"));
    await Promise.all([scope.close(), scope.close()]);
    await scope.close();
    expect(closed).toEqual(["only"]);
  });

  test("aborts its signal before it closes anything", async () => {
    const scope = new Scope();
    const seen: boolean[] = [];
    scope.own({ close: () => void seen.push(scope.signal.aborted) });
    expect(scope.signal.aborted).toBe(false);
    await scope.close();
    expect(seen).toEqual([true]);
  });

  test("closes what it comes to own while it closes", async () => {
    const closed: string[] = [];
    const scope = new Scope();
    scope.own(recorded(closed, "first"));
    scope.own({ close: () => void scope.own(recorded(closed, "late")) });
    await scope.close();
    expect(closed).toEqual(["late", "first"]);
  });

  test("owns nothing more when it is closed", async () => {
    const scope = new Scope();
    await scope.close();
    expect(() => scope.own(recorded([], "too late"))).toThrow("the scope is closed");
  });
});

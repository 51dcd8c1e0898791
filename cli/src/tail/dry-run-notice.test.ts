import type { HostState } from "@packetwatch/contracts";
import { expect, it } from "vitest";
import { DryRunNotice } from "./dry-run-notice.ts";

const host = (name: string, enforcing: HostState["enforcing"]) =>
  ({ host: name, enforcing }) as HostState;

const begun = (names: string) =>
  `dry run: nothing is dropped on ${names} ('packetwatch enforce show')`;

it("a dry run is said once, when it begins and when it ends", () => {
  const notice = new DryRunNotice();
  const dry = [host("a", "off"), host("b", "on"), host("c", "off")];
  expect(notice.next(dry)).toEqual([begun("a, c")]);
  expect(notice.next(dry)).toEqual([]);
  expect(notice.next([host("a", "on"), host("b", "off"), host("c", "off")])).toEqual([
    begun("b"),
    "the dry run is over on a",
  ]);
});

it("a host that is silent, or has no program yet, is still in its dry run", () => {
  const notice = new DryRunNotice();
  notice.next([host("a", "off")]);
  expect(notice.next([])).toEqual([]);
  expect(notice.next([host("a", null)])).toEqual([]);
  expect(notice.next([host("a", "off")])).toEqual([]);
});

it("hosts that are not listed are left out, and nobody's control characters are printed", () => {
  const notice = new DryRunNotice(new Set(["\u001b[2J"]));
  const said = notice.next([host("a", "off"), host("\u001b[2J", "off")]);
  expect(said).toEqual([begun("?[2J")]);
});

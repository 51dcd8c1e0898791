import { existsSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Cleanup } from "../support/cleanup.ts";
import { type Fleet, type FleetHost, startFleet } from "../support/fleet.ts";
import { FleetService, type ServiceName, type Settings } from "../support/fleet-service.ts";
import { OBJECT_PATH } from "../support/loaded-packetwatch.ts";

type Refusal = {
  readonly code: string;
  /** What the message says of the subject, of the cause and of the way out. */
  readonly message: readonly RegExp[];
};

const PIN_OF_ANOTHER = "another";
/** What a container without `cap_add` has of these: nothing. */
const WITHOUT_CAPABILITIES = ["setpriv", "--bounding-set", "-bpf,-sys_admin,-net_admin,-perfmon"];
const AS_NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];

describe("a service that can't do its work says why in one message, with the way out, and fails", () => {
  const ofFleet = new Cleanup();
  const ofTest = new Cleanup();
  let fleet: Fleet;
  let host: FleetHost;

  beforeAll(async () => {
    fleet = await startFleet(ofFleet);
    host = fleet.addHost("host", { addresses: ["198.18.0.1/32"] });
  });
  afterAll(() => ofFleet.run());
  afterEach(() => ofTest.run());

  async function expectRefusal(service: FleetService, { code, message }: Refusal): Promise<void> {
    expect(await service.exited()).toBe(1);
    const severe = service.records.filter(({ level }) => level === "error" || level === "fatal");
    expect(severe).toMatchObject([{ level: "fatal", code }]);
    for (const part of message) expect(severe[0]?.msg).toMatch(part);
    expect(severe[0]?.msg).not.toContain("\n    at ");
  }

  function launch(
    settings: Settings,
    wrapper: readonly string[] = [],
    name: ServiceName = "capture",
  ) {
    const options = { service: name, namespace: host.namespace, wrapper };
    const own = { ...host.settings, ...settings };
    return ofTest.own(new FleetService({ ...options, settings: own }));
  }

  /** Attaches the XDP program of somebody else: no pin of ours knows it. */
  function attachAnother(): void {
    const pin = `${host.pinDir}/${PIN_OF_ANOTHER}`;
    host.namespace.run("mkdir", ["-p", host.pinDir]);
    host.namespace.run("bpftool", ["prog", "load", OBJECT_PATH, pin, "type", "xdp"]);
    ofTest.defer(() => host.namespace.run("rm", [pin]));
    const attach = ["net", "attach", "xdpdrv", "pinned", pin, "dev", "eth0"];
    host.namespace.run("bpftool", attach);
    ofTest.defer(() => host.namespace.ip("link", "set", "eth0", "xdp", "off"));
  }

  it("capture, of an interface that doesn't exist", async () => {
    await expectRefusal(launch({ PW_IFDEV: "nope0" }), {
      code: "NO_INTERFACE",
      message: [/nope0/, /no such interface/, /'ip link'/],
    });
  });

  it("capture, of an interface of several that doesn't exist; the others are left alone", async () => {
    await expectRefusal(launch({ PW_IFDEV: "eth0,nope0" }), {
      code: "NO_INTERFACE",
      message: [/nope0/, /no such interface/, /'ip link'/],
    });
    expect(existsSync(host.pinDir)).toBe(false);
    expect(host.namespace.ip("link", "show", "eth0")).not.toContain("xdp");
  });

  it("capture, of an interface that another XDP program holds", async () => {
    attachAnother();
    await expectRefusal(launch({}), {
      code: "INTERFACE_BUSY",
      message: [/eth0/, /another program is attached/, /'ip link set eth0 xdp off'/],
    });
  });

  it("capture starts once the other program is gone", async () => {
    const capture = launch({});
    await capture.ready();
    expect(await capture.stop()).toBe(0);
  });

  it("capture, of a pin folder that is on no BPF file system", async () => {
    await expectRefusal(launch({ PW_PIN_DIR: "/tmp/packetwatch-no-bpffs" }), {
      code: "NO_BPFFS",
      message: [/\/tmp/, /is not on a BPF file system/, /'mount -t bpf bpf \/sys\/fs\/bpf'/],
    });
  });

  it.each([
    { who: "root without capabilities", wrapper: WITHOUT_CAPABILITIES },
    { who: "another user", wrapper: AS_NOBODY },
  ])("capture, as $who", async ({ wrapper }) => {
    await expectRefusal(launch({}, wrapper), {
      code: "NO_PERMISSION",
      message: [/CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON/, /missing here: CAP_BPF/],
    });
  });

  it("enforcer, as another user, of maps that are there", async () => {
    const capture = launch({});
    await capture.ready();
    await expectRefusal(launch({}, AS_NOBODY, "enforcer"), {
      code: "NO_PERMISSION",
      message: [/open pinned map/, /CAP_BPF/],
    });
  });

  it("capture, of an interface that another capture watches; that one goes on", async () => {
    const first = launch({});
    await first.ready();
    await expectRefusal(launch({}), {
      code: "SENSOR_TAKEN",
      message: [/eth0/, /another capture/, /PW_IFDEV/],
    });
    expect(first.isRunning).toBe(true);
  });

  it("a bad value, of every service: all of them in one message, and exit code 2", async () => {
    const bad = { PW_PORTSCAN_PORT_THRESHOLD: "many", PW_NATS_URL: "http://x", PW_IFDEV: "a b" };
    const names = ["capture", "detector", "enforcer", "metrics"] as const;
    const services = names.map((name) => launch(bad, [], name));
    expect(await Promise.all(services.map((service) => service.exited()))).toEqual([2, 2, 2, 2]);
    const [capture, detector] = services.map((service) => service.records.at(-1));
    expect(capture).toMatchObject({ level: "fatal", msg: expect.stringMatching(/PW_NATS_URL/) });
    expect(capture?.msg).toMatch(/PW_IFDEV/);
    expect(detector?.msg).toMatch(/PW_PORTSCAN_PORT_THRESHOLD.*many/s);
  });
});

/** Usage: attach OBJECT INTERFACE MODE PIN_FOLDER. Attaches the program, pins its link and maps, and ends. */
import { join } from "node:path";
import { attachXdp, openObject, type XdpMode } from "@packetwatch/bpf";
import { LINK_PIN_NAME, mapNames, PROGRAM_NAME, writeLive } from "@packetwatch/contracts";

const [objectPath = "", interfaceName = "", mode = "", pinFolder = ""] = process.argv.slice(2);

const spec = openObject(objectPath);
for (const name of Object.values(mapNames)) spec.setPinPath(name, join(pinFolder, name));
const object = spec.load();
object.map(mapNames.live).update(new Uint8Array(4), writeLive({ enforce: "on" }));
const program = object.program(PROGRAM_NAME);
const link = attachXdp({ program, interfaceName, mode: mode as XdpMode });
link.pin(join(pinFolder, LINK_PIN_NAME));

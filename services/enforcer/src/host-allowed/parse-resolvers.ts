import { AddressError, type AddressWords, parseAddress } from "@packetwatch/net";

/** The name servers of a resolv.conf (resolv.conf(5)). A zone (`%eth0`) is left out; what is no address is passed over, as the resolver does. */
export function parseResolvers(text: string): readonly AddressWords[] {
  return text.split("\n").flatMap((line) => {
    const match = /^nameserver[ \t]+([^\s%]+)/.exec(line);
    return match?.[1] === undefined ? [] : addressOrNone(match[1]);
  });
}

function addressOrNone(text: string): readonly AddressWords[] {
  try {
    return [parseAddress(text)];
  } catch (error) {
    if (error instanceof AddressError) return [];
    throw error;
  }
}

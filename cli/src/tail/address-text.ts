import type { SynEvent } from "@packetwatch/contracts";
import { formatAddress, formatIpv4Word, IPV4_MAPPED_WORD } from "@packetwatch/net";

/**
 * The addresses of attempts as text. The last IPv6 address of either end is
 * remembered: writing one costs as much as the rest of the row, and a scan
 * repeats both.
 */
export class AddressText {
  readonly #source = new LastIpv6Text();
  readonly #destination = new LastIpv6Text();

  source({ s0, s1, s2, s3 }: SynEvent): string {
    const isMapped = s0 === 0 && s1 === 0 && s2 === IPV4_MAPPED_WORD;
    return isMapped ? formatIpv4Word(s3) : this.#source.format(s0, s1, s2, s3);
  }

  destination({ d0, d1, d2, d3 }: SynEvent): string {
    const isMapped = d0 === 0 && d1 === 0 && d2 === IPV4_MAPPED_WORD;
    return isMapped ? formatIpv4Word(d3) : this.#destination.format(d0, d1, d2, d3);
  }
}

class LastIpv6Text {
  #w0 = -1;
  #w1 = -1;
  #w2 = -1;
  #w3 = -1;
  #text = "";

  format(w0: number, w1: number, w2: number, w3: number): string {
    if (w3 !== this.#w3 || w2 !== this.#w2 || w1 !== this.#w1 || w0 !== this.#w0) {
      this.#w0 = w0;
      this.#w1 = w1;
      this.#w2 = w2;
      this.#w3 = w3;
      this.#text = formatAddress([w0, w1, w2, w3]);
    }
    return this.#text;
  }
}

/**
 * Times as text. Both remember the last second they wrote, because neighbours
 * in the stream share it. Times beyond what a Date holds are written as the
 * last one that it does: a sensor's clock must not end the reader.
 */

const MAX_DATE_SECONDS = 8_640_000_000_000;

/** `2021-04-28 15:28:05`, in the time zone of this process (TZ), as the ported tool wrote it. */
export class LocalTime {
  #second = Number.NaN;
  #text = "";

  format(timeUs: number): string {
    const second = wholeSecond(timeUs);
    if (second !== this.#second) {
      this.#text = localText(new Date(second * 1000));
      this.#second = second;
    }
    return this.#text;
  }
}

/** `2021-04-28T13:28:05.123Z`. */
export class IsoTime {
  #second = Number.NaN;
  #upToDot = "";

  format(timeUs: number): string {
    const second = wholeSecond(timeUs);
    if (second !== this.#second) {
      this.#upToDot = new Date(second * 1000).toISOString().slice(0, -"000Z".length);
      this.#second = second;
    }
    const milliseconds =
      second === MAX_DATE_SECONDS ? 0 : Math.floor(timeUs / 1000) - second * 1000;
    return `${this.#upToDot}${pad(milliseconds, 3)}Z`;
  }
}

function wholeSecond(timeUs: number): number {
  return Math.min(Math.floor(timeUs / 1e6), MAX_DATE_SECONDS);
}

function localText(date: Date): string {
  const day = [pad(date.getFullYear(), 4), pad(date.getMonth() + 1, 2), pad(date.getDate(), 2)];
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => pad(part, 2));
  return `${day.join("-")} ${time.join(":")}`;
}

function pad(value: number, digits: number): string {
  return String(value).padStart(digits, "0");
}

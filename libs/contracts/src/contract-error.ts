/** Why a payload was refused; also the value of the `reason` label of rejection counters. */
export type ContractErrorCode =
  | "too_short"
  | "too_long"
  | "bad_version"
  | "bad_family"
  | "bad_length"
  | "bad_value"
  | "bad_json"
  | "bad_schema"
  | "wrong_subject"
  | "wrong_prefix";

/** A payload that does not follow its contract. Nothing of it has been used. */
export class ContractError extends Error {
  override readonly name = "ContractError";
  readonly retryable = false;
  readonly code: ContractErrorCode;
  readonly contract: string;

  constructor(code: ContractErrorCode, contract: string, detail: string, options?: ErrorOptions) {
    super(`${contract}: ${detail}`, options);
    this.code = code;
    this.contract = contract;
  }
}

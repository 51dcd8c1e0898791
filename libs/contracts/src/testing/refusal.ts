import { ContractError } from "../contract-error.ts";

/** The ContractError that `decode` throws; anything else that it does fails the test. */
export function refusal(decode: () => unknown): ContractError {
  try {
    decode();
  } catch (error) {
    if (error instanceof ContractError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

/** What a supervisor tells the command that started it, over the IPC channel. */
export type SupervisorMessage =
  | { readonly kind: "notice"; readonly text: string }
  | {
      readonly kind: "ready";
      readonly modes: readonly (readonly [interfaceName: string, mode: string])[];
    }
  | { readonly kind: "failed"; readonly text: string }
  | { readonly kind: "already-running" };

export type Tell = (message: SupervisorMessage) => void;

/** Messages to a command that has gone are dropped: the log has them too. */
export function tellParent(): Tell {
  return (message) => {
    if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
  };
}

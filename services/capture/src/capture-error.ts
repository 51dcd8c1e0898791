/** Another capture reads the same ring buffers: each would lose what the other takes. */
export class SensorTakenError extends Error {
  override readonly name = "SensorTakenError";
  readonly code = "SENSOR_TAKEN";
  readonly retryable = true;
  readonly interfaceName: string;

  constructor(interfaceName: string, options: ErrorOptions) {
    super(
      `watch ${interfaceName}: another capture does so already; stop it, or give this one other interfaces (PW_IFDEV)`,
      options,
    );
    this.interfaceName = interfaceName;
  }
}

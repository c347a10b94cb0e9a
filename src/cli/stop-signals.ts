/** SIGTERM and Ctrl-C for commands that run until they are stopped. */

export interface StopSignals {
  next(): Promise<NodeJS.Signals>;
  /** Stops listening: the next signal ends the process. */
  close(): void;
}

/** The terminal and npm may both pass on one Ctrl-C. */
const sameSignalMs = 200;

/** Returns the stop signals in the order of their arrival. */
export function stopSignals(): StopSignals {
  const received: NodeJS.Signals[] = [];
  let lastMs = Number.NEGATIVE_INFINITY;
  let waiting: ((signal: NodeJS.Signals) => void) | undefined;
  const listener = (signal: NodeJS.Signals): void => {
    const isSame = performance.now() - lastMs < sameSignalMs;
    lastMs = performance.now();
    if (isSame) return;
    if (waiting) waiting(signal);
    else received.push(signal);
    waiting = undefined;
  };
  const signals = ['SIGTERM', 'SIGINT'] as const;
  for (const signal of signals) process.on(signal, listener);
  return {
    next: () =>
      new Promise((resolve) => {
        const signal = received.shift();
        if (signal) resolve(signal);
        else waiting = resolve;
      }),
    close: () => {
      for (const signal of signals) process.off(signal, listener);
    },
  };
}

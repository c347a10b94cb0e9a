/**
 * A service and its replicas as queues: what a request needs of processors at each stage, and who waits for whom. Replicas on
 * one machine share its cores.
 */

/** Processor time of one request in milliseconds. */
export interface Stages {
  /** Of the balancer, for each request. */
  readonly balancer: number;
  /** Of the service around the image: one request after another in a replica. */
  readonly loop: number;
  /** Several images at once. */
  readonly decode: number;
  /** One image after another in a replica. */
  readonly inference: number;
}

export interface Fleet {
  readonly replicas: number;
  /** Cores of each machine. */
  readonly cores: number;
  /** Replicas on one machine. */
  readonly perMachine: number;
  /** Clients that each wait for an answer before they ask again. */
  readonly clients: number;
}

type Stage = keyof Stages;

const order: readonly Stage[] = ['balancer', 'loop', 'decode', 'inference'];

interface Request {
  stage: number;
  replica: number;
  left: number;
}

/** @returns the images a second that the fleet answers. */
export function simulate(stages: Stages, fleet: Fleet, seconds = 30): number {
  const { replicas, perMachine, cores, clients } = fleet;
  const inReplica = Array.from({ length: replicas }, () => 0);
  /** Of each replica, who waits for the loop or the device, first come first served. */
  const waiting = new Map<string, Request[]>();
  const isBusy = new Set<string>();
  const active = new Set<Request>();
  let answered = 0;

  const alone = ({ stage, replica }: Request): string | undefined => {
    const name = order[stage];
    return name === 'loop' || name === 'inference' ? `${name} ${replica}` : undefined;
  };
  const begin = (request: Request): void => {
    request.left = stages[order[request.stage] as Stage];
    const line = alone(request);
    if (line !== undefined && isBusy.has(line)) {
      waiting.set(line, [...(waiting.get(line) ?? []), request]);
      return;
    }
    if (line !== undefined) isBusy.add(line);
    active.add(request);
  };
  const leave = (request: Request): void => {
    active.delete(request);
    const line = alone(request);
    if (line === undefined) return;
    isBusy.delete(line);
    const [next, ...others] = waiting.get(line) ?? [];
    waiting.set(line, others);
    if (!next) return;
    isBusy.add(line);
    active.add(next);
  };
  const ask = (request: Request): void => {
    // The replica with the fewest requests, as nginx chooses.
    const least = Math.min(...inReplica);
    request.replica = inReplica.indexOf(least);
    inReplica[request.replica] = least + 1;
    request.stage = 0;
    begin(request);
  };

  for (let client = 0; client < clients; client++) ask({ stage: 0, replica: 0, left: 0 });
  const machineOf = ({ replica }: Request): number => Math.floor(replica / perMachine);
  let now = 0;
  while (now < 1000 * seconds) {
    const load = new Map<number, number>();
    for (const request of active) load.set(machineOf(request), (load.get(machineOf(request)) ?? 0) + 1);
    const speed = (request: Request): number => Math.min(1, cores / (load.get(machineOf(request)) ?? 1));
    let step = Number.POSITIVE_INFINITY;
    for (const request of active) step = Math.min(step, request.left / speed(request));
    now += step;
    const finished: Request[] = [];
    for (const request of active) {
      request.left -= step * speed(request);
      if (request.left < 1e-9) finished.push(request);
    }
    for (const request of finished) {
      leave(request);
      request.stage++;
      if (request.stage < order.length) {
        begin(request);
        continue;
      }
      answered++;
      inReplica[request.replica] = (inReplica[request.replica] as number) - 1;
      ask(request);
    }
  }
  return answered / seconds;
}

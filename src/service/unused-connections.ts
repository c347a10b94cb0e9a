/**
 * Connections on which nothing has been asked yet, as load balancers and pools of clients open them. Node does not count
 * them as idle, and would wait for them when it stops.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** @returns what ends those there are. */
export function trackUnusedConnections(server: Pick<Server, 'on'>, event: 'connection' | 'secureConnection') {
  const unused = new Set<Socket>();
  server.on(event, (socket: Socket) => {
    unused.add(socket);
    socket.once('close', () => unused.delete(socket));
  });
  server.on('request', ({ socket }: { readonly socket: Socket }) => unused.delete(socket));
  return (): void => {
    for (const socket of unused) socket.destroy();
  };
}

/** Connections that Node would wait for when it stops, though nothing that was accepted comes over them. */
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Connections on which nothing has been asked yet, as load balancers and pools of clients open them: Node does not count
 * them as idle.
 * @returns what ends those there are.
 */
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

/**
 * Requests whose body is still coming.
 * @returns what ends those there are, and tells how many they were.
 */
export function trackUploads(server: Pick<Server, 'on'>): () => number {
  const open = new Set<IncomingMessage>();
  server.on('request', (request: IncomingMessage) => {
    open.add(request);
    request.once('close', () => open.delete(request));
  });
  return () => {
    const unfinished = [...open].filter(({ complete }) => !complete);
    for (const { socket } of unfinished) socket?.destroy();
    return unfinished.length;
  };
}

/** The frame of the page: navigation, the view that the address names, and the dialog for an API key. */
import { effect, signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { api, apiKey, type DetectorList, keyWanted, type Readiness, useKey } from './api.js';
import { Detectors } from './detectors.js';
import { Inspect } from './inspect.js';
import { Make } from './make.js';
import { detectorName, openResult, selectedId } from './photos.js';
import { Service } from './service.js';

const route = signal(location.hash);
addEventListener('hashchange', () => {
  route.value = location.hash;
});

const detectorList = signal<DetectorList | undefined>(undefined);
const readiness = signal<Readiness | undefined>(undefined);
const trouble = signal<string | undefined>(undefined);

async function loadDetectors(): Promise<void> {
  try {
    const list = await api.detectors();
    detectorList.value = list;
    const names = list.detectors.map(({ name }) => name);
    if (!names.includes(detectorName.value)) detectorName.value = names[0] ?? '';
    trouble.value = undefined;
  } catch (error) {
    trouble.value = (error as Error).message;
  }
}

// Also when a key has been entered.
effect(() => {
  void apiKey.value;
  void loadDetectors();
});

const pollMs = 5000;
const views = [
  ['#/inspect', 'Inspect'],
  ['#/make', 'New detector'],
  ['#/detectors', 'Detectors'],
  ['#/service', 'Service'],
] as const;

export function App() {
  useEffect(() => {
    const poll = async (): Promise<void> => {
      readiness.value = await api.readiness().catch(() => undefined);
      if (readiness.value && !detectorList.value) await loadDetectors();
    };
    void poll();
    const timer = setInterval(() => void poll(), pollMs);
    return () => clearInterval(timer);
  }, []);
  const [, result] = /^#\/results\/(.+)$/.exec(route.value) ?? [];
  useEffect(() => {
    if (!result) return;
    openResult(decodeURIComponent(result)).catch((error: Error) => {
      trouble.value = error.message;
      // What was shown before is not what the link means.
      selectedId.value = undefined;
    });
  }, [result]);
  const view = views.find(([hash]) => route.value === hash)?.[0] ?? '#/inspect';
  return (
    <div class="app">
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <nav aria-label="Main">
        <div class="brand">
          <img src={new URL('./icon.svg', import.meta.url).href} alt="" width="22" height="22" />
          MKD
        </div>
        {views.map(([hash, name]) => (
          <a key={hash} class="item" href={hash} aria-current={view === hash ? 'page' : undefined}>
            {name}
            {hash === '#/detectors' && detectorList.value && (
              <span>{detectorList.value.detectors.length}</span>
            )}
          </a>
        ))}
        <div class="foot">
          <State />
          <a href="/docs">API documentation</a>
        </div>
      </nav>
      <main id="main" tabIndex={-1}>
        {trouble.value !== undefined && (
          <p class="note bad" role="alert">
            {trouble.value}
          </p>
        )}
        {view === '#/inspect' && <Inspect list={detectorList.value} />}
        {view === '#/make' && <Make list={detectorList.value} onMade={loadDetectors} />}
        {view === '#/detectors' && <Detectors list={detectorList.value} onChange={loadDetectors} />}
        {view === '#/service' && <Service readiness={readiness.value} />}
      </main>
      {keyWanted.value !== undefined && <KeyDialog reason={keyWanted.value} />}
    </div>
  );
}

function State() {
  const now = readiness.value;
  const isReady = now?.status === 'ready';
  const word = now ? now.status : 'no answer';
  return (
    <span role="status">
      <i class={isReady ? 'dot' : 'dot off'} aria-hidden="true" />
      {word[0]?.toUpperCase()}
      {word.slice(1)}
      {now?.provider ? `, ${now.provider.toUpperCase()}` : ''}
    </span>
  );
}

function KeyDialog({ reason }: { readonly reason: string }) {
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const key = new FormData(event.currentTarget as HTMLFormElement).get('key');
    if (typeof key === 'string' && key.trim()) useKey(key.trim());
  };
  return (
    <dialog ref={(dialog) => void (dialog && !dialog.open && dialog.showModal())} aria-labelledby="key-title">
      <form onSubmit={submit}>
        <h2 id="key-title">An API key is needed</h2>
        <p>{reason}</p>
        <label>
          API key
          <input class="field" name="key" type="password" autocomplete="off" required />
        </label>
        <p class="soft">It is kept in this tab only, until you close it.</p>
        <div class="bar end">
          <button type="button" class="btn" onClick={() => (keyWanted.value = undefined)}>
            Not now
          </button>
          <button type="submit" class="btn primary">
            Use this key
          </button>
        </div>
      </form>
    </dialog>
  );
}

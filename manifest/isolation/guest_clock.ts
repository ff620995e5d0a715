// The time budgets of the requests to one guest: time runs for one request at a time, and stands still for
// those that wait. It knows no message. Invariant: no request is late before its time and the grace are
// over. One alarm serves all requests; it is set only where it would ring too late, because setting and
// clearing one for each request costs more than all the rest that the host does for it.

/** What has a bound on its time. */
export interface TimedRequest {
  /** What is left of it, in milliseconds; kept up to date while another request runs, or none. */
  leftMs: number;
}

/** The clock of one guest. */
export interface GuestClock<Request extends TimedRequest> {
  /** Lets time run for this request, or for none. */
  run(request: Request | null): void;
  /** The request whose time runs, or null. */
  readonly running: Request | null;
  /** Stops the clock for good. */
  stop(): void;
}

/** Messages that waited behind a blocked event loop arrive within this time after a timer fired. */
const GRACE_MS = 50;

/** A clock that stands still. `onLate` gets the request that ran out of time; it must end or stop. */
export function guestClock<Request extends TimedRequest>(
  onLate: (request: Request) => void,
): GuestClock<Request> {
  let running: Request | null = null;
  let since = 0;
  /** Counts changes of `running`: a grace is for one turn. */
  let turn = 0;
  let alarm: { readonly timer: ReturnType<typeof setTimeout>; readonly at: number } | null = null;

  const silence = (): void => {
    if (alarm !== null) clearTimeout(alarm.timer);
    alarm = null;
  };
  const set = (at: number, ring: () => void): void => {
    silence();
    alarm = { timer: setTimeout(ring, Math.ceil(Math.max(0, at - performance.now()))), at };
  };
  const ring = (): void => {
    alarm = null;
    if (running === null) return;
    const [now, over] = [performance.now(), since + running.leftMs];
    // It was set for an earlier request.
    if (now < over) return set(over, ring);
    const [late, ofTurn] = [running, turn];
    set(now + GRACE_MS, () => ofTurn === turn ? onLate(late) : ring());
  };
  return {
    run(request) {
      if (request === running) return;
      const now = performance.now();
      if (running !== null) running.leftMs -= now - since;
      running = request;
      since = now;
      turn++;
      if (request === null) return;
      const over = now + request.leftMs;
      if (alarm === null || alarm.at > over) set(over, ring);
    },
    get running() {
      return running;
    },
    stop() {
      running = null;
      turn++;
      silence();
    },
  };
}

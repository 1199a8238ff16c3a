import { useState } from "react";

import css from "./App.module.css";
import { advanceClock, type Believed, type SandboxStatus } from "./session";

interface SandboxPanelProps {
  sandbox: SandboxStatus;
  believed: Believed | null;
  onLookAgain: () => Promise<void>;
}

const CARDS = [
  ["4242 4242 4242 4242", "succeeds"],
  ["4000 0000 0000 9995", "is declined"],
  ["4000 0000 0000 3220", "asks for 3-D Secure"],
];

/** Milliseconds in which a worker has dealt with the webhooks of a jump, as a rule. */
const WORKED_OFF = 1000;

/** What a real application would not have: a clock to turn, and the neighbour's view. */
export function SandboxPanel({ sandbox, believed, onLookAgain }: SandboxPanelProps) {
  const [passing, setPassing] = useState<number | null>(null);
  const [failed, setFailed] = useState(false);

  const advance = async (days: number) => {
    setPassing(days);
    setFailed(false);
    try {
      await advanceClock(days);
      await new Promise((resolve) => setTimeout(resolve, WORKED_OFF));
      await onLookAgain();
    } catch {
      setFailed(true);
      setPassing(null);
    }
  };

  return (
    <aside className={css.panel} aria-labelledby="sandbox-title">
      <h2 id="sandbox-title" className={css.subtitle}>
        Sandbox
      </h2>
      <p className={css.small}>
        No money moves here. Try these cards, with any later date and any code:
      </p>
      <dl className={css.cards}>
        {CARDS.map(([number, fate]) => (
          <div key={number}>
            <dt>{number}</dt>
            <dd>{fate}</dd>
          </div>
        ))}
      </dl>
      <h3 className={css.small}>
        Today is {new Date(sandbox.stripe.now).toLocaleDateString(undefined, { dateStyle: "long" })}
      </h3>
      <div className={css.row}>
        {[1, 30, 180].map((days) => (
          <button
            key={days}
            type="button"
            className={css.plain}
            disabled={passing !== null}
            onClick={() => void advance(days)}
          >
            {passing === days ? "Time passes…" : `+${days} ${days === 1 ? "day" : "days"}`}
          </button>
        ))}
      </div>
      {failed && <p role="alert">Time could not pass: is the sandbox running?</p>}
      <h3 className={css.small}>What the users service knows</h3>
      <p role="status" className={css.small}>
        {believed === null || believed.subscriptions.length === 0
          ? "Nothing of you yet."
          : `${believed.hasAccess ? "You have access" : "You have no access"} (${believed.subscriptions
              .map((one) => `${one.status}, message ${one.version}`)
              .join("; ")}).`}
      </p>
      <div className={css.row}>
        <button type="button" className={css.plain} onClick={() => void onLookAgain()}>
          Look again
        </button>
        <a className={css.link} href={sandbox.stripe.controlPanel} target="_blank" rel="noreferrer">
          Stripe’s control panel
        </a>
      </div>
    </aside>
  );
}

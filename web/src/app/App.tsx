import { useCallback, useEffect, useMemo, useState } from "react";

import {
  InvoiceHistory,
  loadStripeFrom,
  type Returned,
  StripeProvider,
  SubscriptionManagement,
} from "../index";
import css from "./App.module.css";
import { PLANS } from "./plans";
import { SandboxPanel } from "./SandboxPanel";
import { currentUser, sandboxStatus, type SandboxStatus, signOut, type User } from "./session";
import { SignIn } from "./SignIn";

type State =
  | { name: "loading" }
  | { name: "failed" }
  | { name: "signed out"; expired: boolean }
  | { name: "signed in"; user: User };

/** The sandbox's application: an account page that uses the payment components. */
export function App({ returned }: { returned: Returned }) {
  const [back, setBack] = useState(returned);
  const [state, setState] = useState<State>({ name: "loading" });
  const [sandbox, setSandbox] = useState<SandboxStatus | null>(null);

  const load = useCallback(
    () =>
      Promise.all([currentUser(), sandboxStatus()]).then(
        ([user, status]) => {
          setSandbox(status);
          setState(
            user === null ? { name: "signed out", expired: false } : { name: "signed in", user },
          );
        },
        () => setState({ name: "failed" }),
      ),
    [],
  );
  useEffect(() => {
    void load();
  }, [load]);

  // Everything anew, as the page would be after a reload.
  const [look, setLook] = useState(0);
  const lookAgain = useCallback(async () => {
    await load();
    setBack({});
    setLook((before) => before + 1);
  }, [load]);

  return (
    <>
      <header className={css.header}>
        <div className={css.bar}>
          <span className={css.brand}>
            <img src="/icon.svg" alt="" width="28" height="28" />
            Gather
          </span>
          {state.name === "signed in" && (
            <span className={css.user}>
              <span className={css.name}>{state.user.name}</span>
              <button
                type="button"
                className={css.quiet}
                onClick={() =>
                  void signOut().then(() => {
                    // Whoever signs in next did not come back from anywhere.
                    setBack({});
                    setState({ name: "signed out", expired: false });
                  })
                }
              >
                Sign out
              </button>
            </span>
          )}
        </div>
      </header>
      <main className={css.main}>
        <h1 className={css.title}>{state.name === "signed out" ? "Sign in" : "Membership"}</h1>
        {state.name === "loading" && <p role="status">Loading…</p>}
        {state.name === "failed" && (
          <div role="alert" className={css.failure}>
            <p>The sandbox does not answer. Is it running, and are you online?</p>
            <button type="button" className={css.plain} onClick={() => void load()}>
              Try again
            </button>
          </div>
        )}
        {state.name === "signed out" && (
          <SignIn
            expired={state.expired}
            onSignedIn={(user) => {
              setState({ name: "signed in", user });
              void load();
            }}
          />
        )}
        {state.name === "signed in" && sandbox !== null && (
          <Account
            // A jump in time changes everything that is shown.
            key={`${state.user.id} ${look}`}
            user={state.user}
            returned={back}
            sandbox={sandbox}
            onLookAgain={lookAgain}
            onExpired={() => setState({ name: "signed out", expired: true })}
          />
        )}
      </main>
    </>
  );
}

interface AccountProps {
  user: User;
  returned: Returned;
  sandbox: SandboxStatus;
  onLookAgain: () => Promise<void>;
  onExpired: () => void;
}

function Account({ user, returned, sandbox, onLookAgain, onExpired }: AccountProps) {
  const stripe = useMemo(() => loadStripeFrom(`${sandbox.stripe.url}/v3/`), [sandbox.stripe.url]);
  const now = useCallback(() => Date.now() + sandbox.ahead, [sandbox.ahead]);
  const [believed, setBelieved] = useState(sandbox.usersView);
  const refresh = useCallback(async () => {
    setBelieved((await sandboxStatus()).usersView);
  }, []);

  return (
    <StripeProvider
      userId={user.id}
      stripe={stripe}
      plans={PLANS}
      now={now}
      onSessionExpired={onExpired}
    >
      <div className={css.columns}>
        <div className={css.stack}>
          <SubscriptionManagement {...returned} onChanged={() => void refresh()} />
          <InvoiceHistory />
        </div>
        <SandboxPanel sandbox={sandbox} believed={believed} onLookAgain={onLookAgain} />
      </div>
    </StripeProvider>
  );
}

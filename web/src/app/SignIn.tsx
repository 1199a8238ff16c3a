import { useEffect, useState } from "react";

import css from "./App.module.css";
import { demoUsers, signIn, type User } from "./session";

interface SignInProps {
  expired: boolean;
  onSignedIn: (user: User) => void;
}

/** Stands in for the platform's own sign-in. There are no passwords. */
export function SignIn({ expired, onSignedIn }: SignInProps) {
  const [users, setUsers] = useState<User[] | null>(null);
  const [failed, setFailed] = useState(false);

  useEffect(() => {
    demoUsers().then(setUsers, () => setFailed(true));
  }, []);

  const enter = (id: string) => {
    signIn(id).then(
      (user) => {
        if (user !== null) {
          onSignedIn(user);
        }
      },
      () => setFailed(true),
    );
  };

  return (
    <section className={css.panel}>
      {expired && (
        <p role="alert" className={css.failure}>
          Your session has ended. Sign in again to go on: nothing was lost.
        </p>
      )}
      <p>This is a sandbox: pick someone to be. No password, no money.</p>
      {failed && (
        <p role="alert" className={css.failure}>
          That did not work. Is the sandbox running?
        </p>
      )}
      {users === null ? (
        !failed && <p role="status">Loading…</p>
      ) : (
        <ul className={css.users}>
          {users.map((user) => (
            <li key={user.id}>
              <button type="button" className={css.choice} onClick={() => enter(user.id)}>
                <span className={css.choiceName}>{user.name}</span>
                <span className={css.email}>{user.email}</span>
              </button>
            </li>
          ))}
          <li>
            <button type="button" className={css.choice} onClick={() => enter("new")}>
              <span className={css.choiceName}>Someone new</span>
              <span className={css.email}>who has never been here</span>
            </button>
          </li>
        </ul>
      )}
    </section>
  );
}

import { useEffect, useSyncExternalStore } from "react";
import { useSWRConfig } from "swr";

import { SessionExpiredError } from "../../../services/errors";
import { Button } from "./Button";
import { explain } from "./explain";
import { Notice } from "./Notice";

/** Says what went wrong while something was loaded, and offers to try again. */
export function LoadFailure({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  const { title, advice, remedy } = explain(error);
  return (
    <Notice
      tone="danger"
      title={title}
      urgent
      actions={remedy !== "sign-in" && <Button onClick={onRetry}>Try again</Button>}
    >
      {advice}
    </Notice>
  );
}

/** Says that what is shown could not be loaded again and may be out of date. */
export function RefreshFailure({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  const { title, advice, remedy } = explain(error);
  return (
    <Notice
      tone="warning"
      title="What you see may be out of date"
      actions={remedy !== "sign-in" && <Button onClick={onRetry}>Try again</Button>}
    >
      {title}. {advice}
    </Notice>
  );
}

/** Tells the application when an action meets the end of the session, as loading does. */
export function useReportExpiry(error: unknown): void {
  const { onError } = useSWRConfig();
  useEffect(() => {
    if (error instanceof SessionExpiredError) {
      // What was asked for is of no interest to whoever listens.
      onError(error, "action", {} as never);
    }
  }, [error, onError]);
}

/** Whether the browser has a network. */
export function useOnline(): boolean {
  return useSyncExternalStore(
    (changed) => {
      addEventListener("online", changed);
      addEventListener("offline", changed);
      return () => {
        removeEventListener("online", changed);
        removeEventListener("offline", changed);
      };
    },
    () => navigator.onLine,
  );
}

/** A word about the lost network, as long as it is lost. */
export function OfflineNotice() {
  return useOnline() ? null : (
    <Notice tone="warning" title="You’re offline">
      What you see may be out of date. Changes are possible once you’re connected again.
    </Notice>
  );
}

import { useEffect, useState } from "react";

import { usePayments } from "./context";
import { explain, type Explanation } from "./explain";
import { useReportExpiry } from "./failures";

/** Opens Stripe's portal, which comes back to the address of this page. */
export function useOpenPortal(returnUrl?: string): {
  open: () => void;
  leaveFor: (url: string) => void;
  busy: boolean;
  problem: Explanation | null;
} {
  const { service, navigate } = usePayments();
  const [busy, setBusy] = useLeaving();
  const [problem, setProblem] = useState<Explanation | null>(null);
  const [error, setError] = useState<unknown>(null);
  useReportExpiry(error);

  const open = async () => {
    setBusy(true);
    setProblem(null);
    try {
      const { sessionUrl } = await service.openPortal(returnUrl ?? withoutQuery(location.href));
      navigate(sessionUrl);
    } catch (caught) {
      setError(caught);
      setProblem(explain(caught));
      setBusy(false);
    }
  };
  return { open: () => void open(), leaveFor: navigate, busy, problem };
}

/** Whether the page is being left; no longer where the browser brings it back as it was. */
export function useLeaving(): [boolean, (leaving: boolean) => void] {
  const [leaving, setLeaving] = useState(false);
  useEffect(() => {
    const back = (event: PageTransitionEvent) => {
      if (event.persisted) {
        setLeaving(false);
      }
    };
    addEventListener("pageshow", back);
    return () => removeEventListener("pageshow", back);
  }, []);
  return [leaving, setLeaving];
}

/** An address that does not bring back what an earlier return has left in it. */
export function withoutQuery(address: string): string {
  const url = new URL(address);
  return url.origin + url.pathname;
}

/** An address with one more piece of query, taken as it is: Stripe looks for its braces. */
export function withQuery(address: string, query: string): string {
  return `${address}${address.includes("?") ? "&" : "?"}${query}`;
}

import { useCallback } from "react";
import useSWR, { useSWRConfig } from "swr";
import { unstable_serialize } from "swr/infinite";

import type { Config, Subscription } from "../../../services/paymentsService";
import { usePayments } from "./context";
import { invoicePageKey } from "./invoicePages";

export interface Resource<T> {
  /** What was loaded last; it stays while it is loaded again, and where that fails. */
  data: T | undefined;
  /** Why it could not be loaded the last time. */
  error: unknown;
  reload: () => void;
}

/** What is for sale. */
export function useConfig(): Resource<Config> {
  const { service } = usePayments();
  const { data, error, mutate } = useSWR<Config, unknown>("config", service.getConfig, {
    revalidateOnFocus: false,
  });
  return { data, error, reload: () => void mutate() };
}

/** The user's subscription, as the server last confirmed it. */
export function useSubscription(): Resource<Subscription> {
  const { service } = usePayments();
  const { data, error, mutate } = useSWR<Subscription, unknown>(
    "subscription",
    service.getSubscription,
  );
  return { data, error, reload: () => void mutate() };
}

/** Makes what the server has just answered known to everything on the page. */
export function useConfirmed(): (subscription: Subscription) => Promise<void> {
  const { mutate } = useSWRConfig();
  return useCallback(
    async (subscription) => {
      await mutate("subscription", subscription, { revalidate: false });
      // A change may have made an invoice.
      void mutate(unstable_serialize(invoicePageKey));
    },
    [mutate],
  );
}

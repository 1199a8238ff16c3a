import { useMemo } from "react";

import { usePayments } from "./context";

export interface Format {
  /** An amount in minor currency units, as "$2.49". */
  money: (amount: number, currency: string) => string;
  /** The same, without cents where there are none: "$10". */
  price: (amount: number, currency: string) => string;
  /** A moment as a date: "June 30, 2026". */
  date: (moment: string | Date) => string;
  /** The same for narrow places: "Jun 30, 2026". */
  shortDate: (moment: string | Date) => string;
  /** A share as "17%". */
  percent: (share: number) => string;
  /** A number. */
  number: (value: number) => string;
}

/** Prices, dates and numbers as they are written in a locale. */
export function formatOf(locale: string): Format {
  const money = (amount: number, currency: string, options: Intl.NumberFormatOptions) => {
    const format = new Intl.NumberFormat(locale, { style: "currency", currency, ...options });
    const digits = new Intl.NumberFormat("en", {
      style: "currency",
      currency,
    }).resolvedOptions().maximumFractionDigits;
    return format.format(amount / 10 ** (digits ?? 2));
  };
  const date = (moment: string | Date, dateStyle: "long" | "medium") =>
    new Intl.DateTimeFormat(locale, { dateStyle }).format(new Date(moment));
  return {
    money: (amount, currency) => money(amount, currency, {}),
    price: (amount, currency) => money(amount, currency, { trailingZeroDisplay: "stripIfInteger" }),
    date: (moment) => date(moment, "long"),
    shortDate: (moment) => date(moment, "medium"),
    percent: (share) =>
      new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 }).format(share),
    number: (value) => new Intl.NumberFormat(locale).format(value),
  };
}

export function useFormat(): Format {
  const { locale } = usePayments();
  return useMemo(() => formatOf(locale), [locale]);
}

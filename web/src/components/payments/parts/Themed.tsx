import type { ComponentPropsWithRef } from "react";

import { usePayments } from "./context";
import theme from "./theme.module.css";

/** A section that brings the colours and type of the payment components with it. */
export function Themed({ className, ...rest }: ComponentPropsWithRef<"section">) {
  const { colorScheme } = usePayments();
  const classes = [theme.theme, className].filter(Boolean).join(" ");
  return <section {...rest} className={classes} data-scheme={colorScheme} />;
}

import type { ComponentPropsWithRef, MouseEvent } from "react";

import css from "./Button.module.css";

interface ButtonProps extends ComponentPropsWithRef<"button"> {
  look?: "primary" | "secondary" | "quiet" | "danger" | "link";
  wide?: boolean;
  /** Something is under way: the button stays in place and in focus, and does nothing. */
  busy?: boolean;
}

/** A button that keeps the focus while it is busy or cannot be used, and says that it is. */
export function Button({
  look = "secondary",
  wide = false,
  busy = false,
  disabled = false,
  type = "button",
  children,
  onClick,
  ...rest
}: ButtonProps) {
  const idle = !busy && !disabled;
  const classes = [css.button, css[look], wide ? css.wide : ""].filter(Boolean).join(" ");
  const click = (event: MouseEvent<HTMLButtonElement>) => {
    if (idle) {
      onClick?.(event);
    } else {
      event.preventDefault();
    }
  };
  return (
    <button
      {...rest}
      type={type}
      className={classes}
      aria-disabled={idle ? undefined : true}
      aria-busy={busy || undefined}
      onClick={click}
    >
      {busy && <span className={css.spinner} aria-hidden="true" />}
      {children}
    </button>
  );
}

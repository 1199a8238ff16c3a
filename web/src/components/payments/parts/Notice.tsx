import { type ReactNode, useEffect, useRef } from "react";

import css from "./Notice.module.css";

type Tone = "danger" | "warning" | "success" | "info";

const ICONS: Record<Tone, string> = {
  danger: "M10 6v5m0 3v.01M10 18a8 8 0 1 1 0-16 8 8 0 0 1 0 16Z",
  warning:
    "M10 7.500v4m0 2.800v.01M8.700 3 1.800 15.200A1.500 1.500 0 0 0 3.100 17.500h13.800a1.500 1.500 0 0 0 1.300-2.300L11.300 3a1.500 1.500 0 0 0-2.600 0Z",
  success: "m6.500 10.200 2.400 2.400 4.600-5M10 18a8 8 0 1 1 0-16 8 8 0 0 1 0 16Z",
  info: "M10 9.500V14m0-7.500v.01M10 18a8 8 0 1 1 0-16 8 8 0 0 1 0 16Z",
};

interface NoticeProps {
  tone: Tone;
  title: string;
  children?: ReactNode;
  actions?: ReactNode;
  /** Brought into view and announced at once: for what answers something the user just did. */
  urgent?: boolean;
}

/** A message to the person in front of the page. */
export function Notice({ tone, title, children, actions, urgent = false }: NoticeProps) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (urgent) {
      // jsdom, and old browsers, cannot scroll.
      (box.current as Partial<HTMLElement> | null)?.scrollIntoView?.({ block: "nearest" });
    }
  }, [urgent, title]);
  return (
    <div
      ref={box}
      className={`${css.notice ?? ""} ${css[tone] ?? ""}`}
      role={urgent && tone === "danger" ? "alert" : "status"}
    >
      <svg
        className={css.icon}
        viewBox="0 0 20 20"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.75"
        strokeLinecap="round"
        strokeLinejoin="round"
        aria-hidden="true"
      >
        <path d={ICONS[tone]} />
      </svg>
      <div className={css.body}>
        <p className={css.title}>{title}</p>
        {children != null && <div>{children}</div>}
        {actions != null && <div className={css.actions}>{actions}</div>}
      </div>
    </div>
  );
}

"""How the page looks: one column, readable on a phone, light and dark."""

__all__ = ["STYLE"]

STYLE = """
.look { --text: #1a1a1a; --soft: #555; --page: #fff; --line: #ddd; --link: #0057a3; --warn: #8a3b00;
  color: var(--text); background: var(--page); max-width: 54rem; margin: 0 auto; padding: 1rem;
  font: 1rem/1.5 system-ui, sans-serif; }
.look h1 { font-size: 1.6rem; line-height: 1.2; margin: 1rem 0; }
.look h2 { font-size: 1.25rem; margin: 2.5rem 0 .4rem; padding-top: .6rem; border-top: 1px solid var(--line); }
.look p { margin: .4rem 0; max-width: 44rem; }
.look a { color: var(--link); }
.look nav ol { padding-left: 1.4rem; columns: 2; }
.look figure { margin: .8rem 0; padding: .4rem; background: #fff; border: 1px solid var(--line); border-radius: .4rem; }
.look img { display: block; width: 100%; height: auto; }
.look .wide { overflow-x: auto; max-height: 24rem; }
.look table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
.look th, .look td { padding: .15rem .8rem .15rem 0; text-align: left; border-bottom: 1px solid var(--line); color: var(--text); }
.look .problem { color: var(--warn); }
.look .time { color: var(--soft); font-size: .8rem; }
@media (max-width: 30rem) { .look nav ol { columns: 1; } .look { padding: .6rem; } }
@media (prefers-color-scheme: dark) {
  .look { --text: #e8e8e8; --soft: #aaa; --page: #16181b; --line: #3a3d42; --link: #7db7f0; --warn: #ffb27a; }
  html:has(body.look) { background: #16181b; }
}
"""

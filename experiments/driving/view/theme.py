"""Colours of a drive's page on light and on dark ground, and its style sheet."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Theme:
    """Colours of the scene and of what the panel says about it, readable on one kind of ground."""

    dark: bool
    ink: Colour  # the executed path
    floor: Colour
    wall: Colour
    body: Colour
    goal: Colour
    plan: Colour
    paper: Colour  # behind the panel
    blank: int  # grey of a picture that is not known
    clear: float  # opacity of the goal; the ghosts of a plan are as much clearer

    @classmethod
    def of(cls, dark: bool) -> Theme:
        """The theme for dark or for light ground."""
        return DARK if dark else LIGHT

    @property
    def series(self) -> tuple[Colour, ...]:
        """Colours of curves, in order."""
        return self.plan, (200, 130, 30), self.goal, (165, 100, 190), self.body

    def css(self, name: str) -> str:
        """A colour by its name, for HTML."""
        return f"rgb{getattr(self, name)}"


LIGHT = Theme(
    dark=False,
    ink=(38, 44, 56),
    floor=(255, 253, 248),
    wall=(96, 108, 128),
    body=(232, 92, 56),
    goal=(33, 158, 120),
    plan=(58, 112, 214),
    paper=(255, 255, 255),
    blank=236,
    clear=0.6,
)
DARK = Theme(
    dark=True,
    ink=(214, 220, 230),
    floor=(46, 50, 60),
    wall=(118, 132, 156),
    body=(255, 124, 84),
    goal=(58, 206, 156),
    plan=(104, 160, 255),
    paper=(36, 36, 36),
    blank=64,
    clear=0.9,
)

PHONE = 36.0  # em: viser shows its panel as a sheet at the bottom of windows that are narrower
SHEET = 0.46  # of the height that the sheet may cover

# viser gives the sheet a fixed width and up to 60 % of the height; here it spans the window and leaves the scene room,
# and what a thumb moves is as large as a thumb. Attribute selectors, because its elements have no names.
STYLE = f"""<style>
:root:root[data-mantine-color-scheme="light"] {{ --mantine-color-dimmed: #596273 }}
:root:root[data-mantine-color-scheme="dark"] {{ --mantine-color-dimmed: #b3b9c4 }}
.drive-status {{ margin: 4px 12px; font-size: 13px; line-height: 1.5 }}
.drive-status dl {{ display: grid; grid-template-columns: max-content 1fr; column-gap: 14px; margin: 2px 0 }}
.drive-status dt, .drive-heads {{ opacity: .72 }}
.drive-status dd {{ margin: 0; min-width: 0; white-space: nowrap; overflow: hidden; text-overflow: ellipsis }}
.drive-key > span {{ white-space: nowrap; margin-right: 12px }}
.drive-heads {{ display: flex; gap: 8px; margin: 2px 12px 1px; font-size: 12px; line-height: 1.4 }}
.drive-heads > span {{ flex: 1; white-space: nowrap; overflow: hidden; text-overflow: ellipsis }}
@media (max-width: {PHONE}em) {{
  .mantine-Paper-root[style*="position: fixed"][style*="bottom"] {{
    width: 100% !important; max-height: {100 * SHEET:g}% !important; border-radius: 14px 14px 0 0 }}
  .mantine-Paper-root[style*="position: fixed"] [style*="width: 20em"] {{ width: 100% !important }}
  .drive-status dl {{ grid-template-columns: max-content 1fr max-content 1fr; column-gap: 10px }}
  .mantine-Slider-root {{ margin: 7px 0 }}
  .mantine-Slider-thumb {{ width: 24px !important; height: 24px !important; border-radius: 12px }}
  .mantine-Slider-thumb::after {{ content: ""; position: absolute; inset: -10px }}
  .mantine-Slider-mark, .mantine-Slider-markLabel {{ visibility: hidden }}
  .mantine-Button-root {{ height: 40px !important }}
}}
</style>"""

# SPDX-License-Identifier: Apache-2.0
"""The phrasings used while training: the evaluated instruction first, then others with the same meaning."""

PARAPHRASES = {
    "reach": ["reach the red goal", "move the hand to the red goal", "go to the red ball"],
    "push": ["push the puck to the green goal", "slide the puck onto the green goal", "move the puck to the green ball"],
    "door-open": ["open the door", "pull the door open", "open the safe door"],
    "drawer-open": ["open the drawer", "pull the drawer open", "pull out the drawer"],
    "button-press-topdown": ["press the button from above", "push the button down", "press the red button from the top"],
    "window-open": ["open the window", "slide the window open", "move the window to the right"],
    "faucet-open": ["open the faucet", "turn the faucet on", "rotate the faucet counter clockwise"],
    "faucet-close": ["close the faucet", "turn the faucet off", "rotate the faucet clockwise"],
}

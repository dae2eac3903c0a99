# SPDX-License-Identifier: Apache-2.0
"""Closed-loop evaluation of policies in simulators: `python -m flash_rt.eval --help`."""

# SPDX-License-Identifier: Apache-2.0
# One word each; the work is in tools/.

.PHONY: demo test bench format lint build setup clean
.DEFAULT_GOAL := build

setup:
	@tools/setup

build: setup
	@tools/build

demo: setup
	@tools/demo

test: setup
	@tools/test

bench: build
	@tools/bench

format: setup
	@tools/check_format --fix

lint: build
	@tools/lint

clean:
	rm -rf build

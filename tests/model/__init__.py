"""The protocol's own model: rules R1 to R14 as an explicit state space, explored (docs/model.md).

`moving` is one end of a channel, `scenes` what is played, `reacting` what an honest node does about it,
`world` everything that can happen next, `judging` what a node could end with, `exploring` the search.
`runs` names the configurations; `python -m tests.model` plays them and prints their state counts.
"""

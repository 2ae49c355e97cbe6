#!/usr/bin/env node
require('./launch.cjs').launch('reassign-partitions')

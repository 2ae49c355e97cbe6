// kafka-python: 2.0.2, which half the world still has, and the newest.

import { pythonSuite } from '../python-suite.ts'

export const suite = pythonSuite('kafka_python_cases.py', ['kafka-python==2.0.2', 'kafka-python==3.0.12'])
